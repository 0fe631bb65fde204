"""Addresses of the demo shop."""

from django.urls import path

from tracking.demo_shop import views

urlpatterns = [
    path("", views.home, name="demo-shop-home"),
    path("product/<str:key>/", views.good, name="demo-shop-good"),
    path("product/<str:key>/add/", views.add, name="demo-shop-add"),
    path("cart/", views.cart, name="demo-shop-cart"),
    path("checkout/", views.checkout, name="demo-shop-checkout"),
    path("buy/", views.buy, name="demo-shop-buy"),
    path("thanks/", views.thanks, name="demo-shop-thanks"),
    path("somebody-else/", views.somebody_else, name="demo-shop-somebody-else"),
]
