"""People and their roles in the admin."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin, UserAdmin
from django.contrib.auth.models import Group, User
from django.db.models import Model
from django.http import HttpRequest
from unfold.admin import ModelAdmin
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm

admin.site.unregister(User)
admin.site.unregister(Group)


@admin.register(User)
class PersonAdmin(UserAdmin, ModelAdmin):  # type: ignore[type-arg]
    """People; only a superuser makes superusers, or changes one."""

    form = UserChangeForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm
    list_display = ("username", "email", "first_name", "last_name", "roles", "is_active")
    list_filter = ("groups", "is_active", "is_superuser")
    list_filter_sheet = False
    fieldsets = (
        (None, {"fields": ("username", "password")}),
        ("Who", {"fields": ("first_name", "last_name", "email")}),
        (
            "What this person may do",
            {
                "fields": ("is_active", "is_staff", "groups", "is_superuser"),
                "description": "viewer reads, experimenter edits and runs experiments, admin does everything. "
                "“Staff status” lets a person into this admin at all.",
            },
        ),
        ("Dates", {"fields": ("last_login", "date_joined"), "classes": ("collapse",)}),
    )
    add_fieldsets = (
        (None, {"fields": ("username", "password1", "password2")}),
        ("What this person may do", {"fields": ("is_staff", "groups")}),
    )
    readonly_fields = ("last_login", "date_joined")

    def roles(self, user: User) -> str:
        names = [group.name for group in user.groups.all()]
        return ", ".join((["superuser"] if user.is_superuser else []) + names) or "none"

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).prefetch_related("groups")

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        return {"is_staff": True, **super().get_changeform_initial_data(request)}

    def get_readonly_fields(self, request: HttpRequest, obj: Model | None = None) -> tuple[str, ...]:
        fields = tuple(super().get_readonly_fields(request, obj))
        return fields if _is_superuser(request) else (*fields, "is_superuser")

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        if isinstance(obj, User) and obj.is_superuser and not _is_superuser(request):
            return False
        return bool(super().has_change_permission(request, obj))

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        if isinstance(obj, User) and obj.is_superuser and not _is_superuser(request):
            return False
        return bool(super().has_delete_permission(request, obj))


@admin.register(Group)
class PeopleGroupAdmin(GroupAdmin, ModelAdmin):
    """Roles as groups: viewer, experimenter and admin come with Inkling; make your own for anything else."""

    list_display = ("name", "members")

    def members(self, group: Group) -> int:
        return group.user_set.count()


def _is_superuser(request: HttpRequest) -> bool:
    return isinstance(request.user, User) and request.user.is_superuser
