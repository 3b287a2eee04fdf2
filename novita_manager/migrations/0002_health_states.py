from django.db import migrations, models


class Migration(migrations.Migration):
    """Since when each thing that health looks at is in its state, shared by all processes."""

    dependencies = [("novita_manager", "0001_api_keys")]

    operations = [
        migrations.CreateModel(
            name="HealthState",
            fields=[
                ("name", models.CharField(max_length=20, primary_key=True, serialize=False)),
                ("status", models.CharField(max_length=10)),
                ("since", models.DateTimeField()),
            ],
        ),
    ]
