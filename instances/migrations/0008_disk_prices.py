from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('instances', '0007_interval_bounds'),
    ]

    operations = [
        migrations.AddField('machine', 'disk_usd_per_gb_day', models.DecimalField(blank=True, decimal_places=5, max_digits=12, null=True)),
        migrations.AddField('machine', 'stopped_disk_usd_per_gb_day', models.DecimalField(blank=True, decimal_places=5, max_digits=12, null=True)),
        migrations.AddField('machine', 'free_disk_gb', models.PositiveIntegerField(default=0)),
    ]
