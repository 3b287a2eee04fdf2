from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('instances', '0009_refused_key'),
    ]

    operations = [
        migrations.AddField(
            model_name='event',
            name='told',
            field=models.BooleanField(default=True),
        ),
        migrations.AddIndex(
            model_name='event',
            index=models.Index(condition=models.Q(('told', False)), fields=['id'], name='event_outbox'),
        ),
    ]
