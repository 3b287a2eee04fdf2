from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('instances', '0005_doubted_lists'),
    ]

    operations = [
        migrations.AddField('instance', 'shown_at', models.DateTimeField(blank=True, null=True)),
    ]
