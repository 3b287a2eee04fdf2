from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('instances', '0008_disk_prices'),
    ]

    operations = [
        migrations.AddField('provideraccount', 'key_refused_since', models.DateTimeField(blank=True, null=True)),
    ]
