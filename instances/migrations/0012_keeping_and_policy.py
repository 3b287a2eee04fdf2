"""What people say about auto-stop of one instance: the policy it follows, and until when it is kept."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("instances", "0011_webhooks")]

    operations = [
        migrations.AddField(
            model_name="instance",
            name="auto_stop_policy",
            field=models.CharField(blank=True, max_length=100),
        ),
        migrations.AddField(
            model_name="instance",
            name="keep_by",
            field=models.CharField(blank=True, max_length=255),
        ),
        migrations.AddField(
            model_name="instance",
            name="keep_reason",
            field=models.CharField(blank=True, max_length=500),
        ),
        migrations.AddField(
            model_name="instance",
            name="keep_until",
            field=models.DateTimeField(blank=True, null=True),
        ),
    ]
