// A stand-in for pipelock where its published image cannot be pulled: it keeps the contract that a bottle relies on
// (arguments, health, allowlist, leaks of its environment in URLs, reload, exit codes) and nothing else.
package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"os/signal"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"

	"gopkg.in/yaml.v3"
)

type config struct {
	Allowlist    []string `yaml:"api_allowlist"`
	ForwardProxy struct {
		Enabled bool `yaml:"enabled"`
	} `yaml:"forward_proxy"`
	Scanning struct {
		Enabled    bool   `yaml:"enabled"`
		Action     string `yaml:"action"`
		Headers    bool   `yaml:"scan_headers"`
		HeaderMode string `yaml:"header_mode"`
	} `yaml:"request_body_scanning"`
	SSRF struct {
		Allowlist []netip.Prefix `yaml:"ip_allowlist"`
	} `yaml:"ssrf"`
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "pipelock (stand-in):", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) == 0 {
		return errors.New("run or healthcheck")
	}
	options := map[string]string{"--listen": "127.0.0.1:8888", "--addr": "127.0.0.1:8888", "--config": ""}
	for at := 1; at < len(args); at += 2 {
		if _, known := options[args[at]]; !known || at+1 == len(args) {
			return fmt.Errorf("unknown or empty option %s", args[at])
		}
		options[args[at]] = args[at+1]
	}
	switch args[0] {
	case "healthcheck":
		return healthcheck(options["--addr"])
	case "run":
		return serve(options["--config"], options["--listen"])
	}
	return fmt.Errorf("unknown command %s", args[0])
}

func healthcheck(address string) error {
	answer, err := http.Get("http://" + address + "/health")
	if err != nil {
		return err
	}
	if answer.StatusCode != http.StatusOK {
		return errors.New(answer.Status)
	}
	return answer.Body.Close()
}

func load(path string) (*config, error) {
	if path == "" {
		return new(config), nil
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	decoder := yaml.NewDecoder(file)
	decoder.KnownFields(true)
	read := new(config)
	if err := decoder.Decode(read); err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return read, nil
}

type proxy struct {
	config atomic.Pointer[config]
	secret []string
}

func serve(path, address string) error {
	first, err := load(path)
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	p := &proxy{}
	p.config.Store(first)
	for _, variable := range os.Environ() {
		if _, value, _ := strings.Cut(variable, "="); len(value) >= 8 {
			p.secret = append(p.secret, value)
		}
	}
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGHUP, syscall.SIGTERM, syscall.SIGINT)
	go func() {
		for received := range signals {
			if received != syscall.SIGHUP {
				os.Exit(0)
			}
			if next, err := load(path); err != nil {
				fmt.Fprintln(os.Stderr, "config not reloaded:", err)
			} else {
				p.config.Store(next)
				fmt.Println("config reloaded")
			}
		}
	}()
	fmt.Println("listening on", listener.Addr())
	return http.Serve(listener, p)
}

func (p *proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Host == "" && r.Method != http.MethodConnect {
		if r.URL.Path != "/health" {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintln(w, `{"status":"healthy"}`)
		return
	}
	if reason := p.blocked(r); reason != "" {
		if r.Method == http.MethodConnect {
			reason = ""
		}
		w.WriteHeader(http.StatusForbidden)
		fmt.Fprint(w, reason)
		return
	}
	if r.Method == http.MethodConnect {
		tunnel(w, r)
		return
	}
	r.RequestURI = ""
	r.Header.Del("Proxy-Connection")
	answer, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	defer answer.Body.Close()
	for name, values := range answer.Header {
		w.Header()[name] = values
	}
	w.WriteHeader(answer.StatusCode)
	_, _ = io.Copy(w, answer.Body)
}

func (p *proxy) blocked(r *http.Request) string {
	config := p.config.Load()
	host := r.URL.Hostname()
	allowed := slices.ContainsFunc(config.Allowlist, func(name string) bool {
		if rest, wild := strings.CutPrefix(name, "*"); wild {
			return strings.HasSuffix(host, rest)
		}
		return strings.EqualFold(host, name)
	})
	path, _ := url.QueryUnescape(r.URL.RequestURI())
	leaks := func(value string) bool {
		return strings.Contains(path, value) || strings.Contains(r.URL.RequestURI(), value)
	}
	switch {
	case !config.ForwardProxy.Enabled:
		return "blocked: forward proxy is disabled"
	case !allowed:
		return "blocked: domain not in allowlist: " + host
	case slices.ContainsFunc(p.secret, leaks):
		return "blocked: environment variable leak detected"
	}
	if config.Scanning.Enabled && config.Scanning.Action == "block" && r.Method != http.MethodConnect {
		if reason := p.carried(r, config.Scanning.Headers && config.Scanning.HeaderMode == "all"); reason != "" {
			return reason
		}
	}
	addresses, err := net.DefaultResolver.LookupNetIP(r.Context(), "ip", host)
	if err != nil {
		return "blocked: " + host + " does not resolve"
	}
	for _, address := range addresses {
		address = address.Unmap()
		named := slices.ContainsFunc(config.SSRF.Allowlist, func(prefix netip.Prefix) bool { return prefix.Contains(address) })
		if (address.IsPrivate() || address.IsLoopback() || address.IsLinkLocalUnicast()) && !named {
			return "blocked: private address " + address.String()
		}
	}
	return ""
}

// Whether a request carries a secret beside its URL; the body is there again afterwards.
func (p *proxy) carried(r *http.Request, headers bool) string {
	has := func(text string) bool {
		return slices.ContainsFunc(p.secret, func(value string) bool { return strings.Contains(text, value) })
	}
	for _, values := range r.Header {
		if headers && slices.ContainsFunc(values, has) {
			return "blocked: request header contains secret"
		}
	}
	body, err := io.ReadAll(r.Body)
	if err != nil || has(string(body)) {
		return "blocked: request body contains secret: environment variable"
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	return ""
}

func tunnel(w http.ResponseWriter, r *http.Request) {
	target, err := net.Dial("tcp", r.Host)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	client, buffered, err := w.(http.Hijacker).Hijack()
	if err != nil {
		target.Close()
		return
	}
	fmt.Fprint(client, "HTTP/1.1 200 Connection established\r\n\r\n")
	go func() {
		_, _ = io.Copy(target, bufio.NewReader(buffered))
		_ = target.(*net.TCPConn).CloseWrite()
	}()
	_, _ = io.Copy(client, target)
	client.Close()
	target.Close()
}
