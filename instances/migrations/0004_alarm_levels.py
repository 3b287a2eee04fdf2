from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('instances', '0003_tally'),
    ]

    operations = [
        migrations.AddField('alarm', 'level', models.PositiveBigIntegerField(default=0)),
        migrations.AddField('alarm', 'told_at', models.DateTimeField(blank=True, null=True)),
    ]
