FROM scratch
COPY gitleaks /usr/bin/gitleaks
