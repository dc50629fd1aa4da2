# As the published image: one binary, no shell.
FROM scratch
COPY pipelock /pipelock
EXPOSE 8888
HEALTHCHECK CMD ["/pipelock", "healthcheck"]
ENTRYPOINT ["/pipelock"]
CMD ["run", "--listen", "0.0.0.0:8888"]
