from django.db import migrations, models


class Migration(migrations.Migration):
    """Counts for the metrics page, shared by all processes."""

    dependencies = [("instances", "0002_reveal_secrets")]

    operations = [
        migrations.CreateModel(
            name="Tally",
            fields=[
                ("series", models.CharField(max_length=500, primary_key=True, serialize=False)),
                ("value", models.FloatField(default=0.0)),
            ],
        ),
    ]
