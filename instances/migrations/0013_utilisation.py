"""How busy machines are, a row a minute."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("instances", "0012_keeping_and_policy")]

    operations = [
        migrations.CreateModel(
            name="UtilisationWatch",
            fields=[
                ("machine", models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, primary_key=True, related_name="utilisation_watch", serialize=False, to="instances.machine")),
                ("due_at", models.DateTimeField()),
                ("read_at", models.DateTimeField(blank=True, null=True)),
                ("newest_at", models.DateTimeField(blank=True, null=True)),
                ("error", models.CharField(blank=True, max_length=200)),
            ],
            options={
                "indexes": [models.Index(fields=["due_at"], name="utilisation_watch_due")],
            },
        ),
        migrations.CreateModel(
            name="UtilisationMinute",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("minute", models.PositiveIntegerField()),
                ("seconds", models.PositiveSmallIntegerField()),
                ("newest_at", models.PositiveBigIntegerField()),
                ("busiest_gpu_percent", models.FloatField(null=True)),
                ("ceiling_gpu_percent", models.FloatField(null=True)),
                ("average_gpu_percent", models.FloatField(null=True)),
                ("gpus", models.JSONField(default=list)),
                ("gpu_memory_percent", models.FloatField(null=True)),
                ("cpu_cores", models.FloatField(null=True)),
                ("machine", models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name="utilisation", to="instances.machine")),
            ],
            options={
                "ordering": ["machine", "minute"],
                "indexes": [models.Index(fields=["minute"], name="utilisation_minute")],
                "constraints": [models.UniqueConstraint(fields=("machine", "minute"), name="utilisation_one_per_minute")],
            },
        ),
    ]
