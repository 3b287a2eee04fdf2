"""Stop times, what was promised of them, the links of warnings, and what a stop saved."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("autostop", "0003_heartbeats")]

    operations = [
        migrations.AddField(
            model_name="evaluation",
            name="cpu_active_at",
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name="evaluation",
            name="gpu_active_at",
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name="evaluation",
            name="hard_stop_at",
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name="evaluation",
            name="hard_stop_by",
            field=models.CharField(blank=True, max_length=700),
        ),
        migrations.AddField(
            model_name="evaluation",
            name="idle_in_a_row",
            field=models.PositiveSmallIntegerField(default=0),
        ),
        migrations.AddField(
            model_name="evaluation",
            name="idle_stop_at",
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name="evaluation",
            name="idle_stop_by",
            field=models.CharField(blank=True, max_length=700),
        ),
        migrations.AddField(
            model_name="evaluation",
            name="nearest_miss",
            field=models.CharField(blank=True, max_length=500),
        ),
        migrations.AddField(
            model_name="evaluation",
            name="policy",
            field=models.CharField(blank=True, max_length=100),
        ),
        migrations.AddField(
            model_name="evaluation",
            name="promised_at",
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name="evaluation",
            name="version",
            field=models.PositiveSmallIntegerField(default=1),
        ),
        migrations.AddField(
            model_name="passrun",
            name="started",
            field=models.PositiveIntegerField(default=0),
        ),
        migrations.AddField(
            model_name="passrun",
            name="warned",
            field=models.PositiveIntegerField(default=0),
        ),
        migrations.AddField(
            model_name="recordeddecision",
            name="billing_mode",
            field=models.CharField(blank=True, max_length=20),
        ),
        migrations.AddField(
            model_name="recordeddecision",
            name="nearest_miss",
            field=models.CharField(blank=True, max_length=500),
        ),
        migrations.AddField(
            model_name="recordeddecision",
            name="policy",
            field=models.CharField(blank=True, max_length=100),
        ),
        migrations.AddField(
            model_name="recordeddecision",
            name="price_usd_per_hour",
            field=models.DecimalField(blank=True, decimal_places=5, max_digits=12, null=True),
        ),
        migrations.AddField(
            model_name="recordeddecision",
            name="version",
            field=models.PositiveSmallIntegerField(default=1),
        ),
        migrations.CreateModel(
            name="KeepLink",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("act", models.CharField(choices=[("keep_2h", "Keep it for 2 hours"), ("keep_today", "Keep it today"), ("stop_now", "Stop it now")], max_length=12)),
                ("nonce", models.CharField(max_length=32)),
                ("token_hash", models.CharField(max_length=64, unique=True)),
                ("stop_at", models.DateTimeField()),
                ("issued_at", models.DateTimeField()),
                ("expires_at", models.DateTimeField()),
                ("used_at", models.DateTimeField(blank=True, null=True)),
                ("used_by", models.CharField(blank=True, max_length=255)),
                ("instance", models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name="auto_stop_links", to="instances.instance")),
            ],
            options={
                "ordering": ["-id"],
                "indexes": [models.Index(fields=["instance", "stop_at"], name="autostop_link_of_warning")],
                "constraints": [models.UniqueConstraint(fields=("instance", "act", "stop_at"), name="autostop_link_one_per_act_and_warning")],
            },
        ),
    ]
