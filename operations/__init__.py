"""What a person does to a deployment: a module for each command of the Makefile that reaches AWS or Twilio."""
