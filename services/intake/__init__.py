"""Patient Intake: submissions, with guardian, consent and safeguarding."""
