"""Creates the groups viewer, experimenter and admin with their permissions on this app.

Django makes permissions only after all migrations have run, so they are made here first. What the groups may do with the
models of other apps is granted after every migrate, by experiments.roles.grant_roles.
"""

from django.contrib.auth.management import create_permissions
from django.db import migrations

from experiments.roles import ROLES, permission_codes

APP = "experiments"


def create_roles(apps, schema_editor):
    alias = schema_editor.connection.alias
    app_config = apps.get_app_config(APP)
    app_config.models_module = True  # what create_permissions asks; historical apps have none
    create_permissions(app_config, apps=apps, verbosity=0, using=alias)
    app_config.models_module = None
    models = [model._meta.model_name for model in app_config.get_models()]
    permissions = apps.get_model("auth", "Permission").objects.using(alias)
    groups = apps.get_model("auth", "Group").objects.using(alias)
    for role in ROLES:
        group, _ = groups.get_or_create(name=role)
        codes = permission_codes(role, APP, models)
        group.permissions.add(*permissions.filter(content_type__app_label=APP, codename__in=codes))


def remove_roles(apps, schema_editor):
    apps.get_model("auth", "Group").objects.using(schema_editor.connection.alias).filter(name__in=ROLES).delete()


class Migration(migrations.Migration):
    dependencies = [
        ("experiments", "0001_initial"),
        ("auth", "0012_alter_user_first_name_max_length"),
        ("contenttypes", "0002_remove_content_type_name"),
    ]

    operations = [migrations.RunPython(create_roles, remove_roles)]
