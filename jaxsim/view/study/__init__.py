"""The study of disaggregation, claim by claim: `jaxsim reproduce`."""
