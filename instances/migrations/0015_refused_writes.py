from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('instances', '0014_reclaims'),
    ]

    operations = [
        migrations.AddField('provideraccount', 'writes_refused_since', models.DateTimeField(blank=True, null=True)),
    ]
