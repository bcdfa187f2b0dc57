"""A view that wants an API key: djangorestframework-api-key on SQLite, for gunicorn.

`python application.py FOLDER COUNT` makes COUNT keys and writes them to FOLDER/keys. After that gunicorn serves
`application:application`, which finds the folder in BENCH_FOLDER and answers GET /verify.
"""

import os
import pathlib
import sys

import django
from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.urls import path

folder = pathlib.Path(sys.argv[1] if __name__ == "__main__" else os.environ["BENCH_FOLDER"])

settings.configure(
    SECRET_KEY="only for the bench: nothing here is worth guarding",
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF="__main__" if __name__ == "__main__" else "application",
    USE_TZ=True,
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    INSTALLED_APPS=["rest_framework", "rest_framework_api_key"],
    # This one tells the length of answers.
    MIDDLEWARE=["django.middleware.common.CommonMiddleware"],
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": folder / "django.db",
            "CONN_MAX_AGE": None,
            "OPTIONS": {"init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;"},
        }
    },
    REST_FRAMEWORK={
        "DEFAULT_AUTHENTICATION_CLASSES": [],
        "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
        "UNAUTHENTICATED_USER": None,
    },
)
django.setup()

from rest_framework.response import Response  # noqa: E402  (the settings come first)
from rest_framework.views import APIView  # noqa: E402
from rest_framework_api_key.models import APIKey  # noqa: E402
from rest_framework_api_key.permissions import HasAPIKey  # noqa: E402


class Verify(APIView):
    """Says yes to whoever gets this far."""

    permission_classes = [HasAPIKey]

    def get(self, request):
        return Response({"valid": True})


urlpatterns = [path("verify", Verify.as_view())]

if __name__ == "__main__":
    from django.core.management import call_command

    call_command("migrate", verbosity=0)
    keys = [APIKey.objects.create_key(name=f"key {number}")[1] for number in range(int(sys.argv[2]))]
    (folder / "keys").write_text("\n".join(keys))
else:
    application = get_wsgi_application()
