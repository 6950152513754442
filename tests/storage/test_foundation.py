"""smoke"""
from sqlalchemy import text
def test_up(connection):
    assert connection.scalar(text("select version_num from alembic_version")) == "0005_jobs"
