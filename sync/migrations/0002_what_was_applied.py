from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('sync', '0001_initial'),
    ]

    operations = [
        migrations.AddField('syncrun', 'applied', models.JSONField(blank=True, default=dict)),
    ]
