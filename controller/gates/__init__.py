"""Alerts of Grafana, Alertmanager and Kapacitor, as gates of a release."""
