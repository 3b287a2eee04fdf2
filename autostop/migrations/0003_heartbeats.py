"""The address a program inside an instance calls."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("autostop", "0002_policies"), ("instances", "0013_utilisation")]

    operations = [
        migrations.CreateModel(
            name="Heartbeat",
            fields=[
                ("instance", models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, primary_key=True, related_name="auto_stop_heartbeat", serialize=False, to="instances.instance")),
                ("token_hash", models.CharField(blank=True, max_length=64, null=True, unique=True)),
                ("issued_at", models.DateTimeField()),
                ("issued_by", models.CharField(blank=True, max_length=255)),
                ("beaten_at", models.DateTimeField(blank=True, null=True)),
                ("gpu_percent", models.FloatField(blank=True, null=True)),
                ("cpu_cores", models.FloatField(blank=True, null=True)),
                ("active_at", models.DateTimeField(blank=True, null=True)),
            ],
        ),
    ]
