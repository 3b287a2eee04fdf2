from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('instances', '0004_alarm_levels'),
    ]

    operations = [
        migrations.AddField('provideraccount', 'doubted_since', models.DateTimeField(blank=True, null=True)),
        migrations.AddField('provideraccount', 'doubt_reason', models.CharField(blank=True, max_length=500)),
        migrations.AddField('provideraccount', 'accepted_lack', models.CharField(blank=True, max_length=64)),
        migrations.AddField('machine', 'unverified_since', models.DateTimeField(blank=True, null=True)),
        migrations.AddField('machine', 'not_found_at', models.DateTimeField(blank=True, null=True)),
    ]
