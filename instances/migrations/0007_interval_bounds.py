from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('instances', '0006_proof_by_two_reads'),
    ]

    operations = [
        migrations.AddField('runninginterval', 'started_not_before', models.DateTimeField(blank=True, null=True)),
        migrations.AddField('runninginterval', 'started_not_after', models.DateTimeField(blank=True, null=True)),
        migrations.AddField('runninginterval', 'ended_not_before', models.DateTimeField(blank=True, null=True)),
        migrations.AddField('runninginterval', 'ended_not_after', models.DateTimeField(blank=True, null=True)),
    ]
