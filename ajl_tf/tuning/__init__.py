"""Many trainings of one experiment: what varies, a trial, the study of them, the outcome."""
