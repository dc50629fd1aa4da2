// A stand-in for pipelock 2.3.0 where its published image cannot be pulled. It follows what the real program was seen
// to do with the parts of a bottle: arguments, modes, allowlist, secrets of its environment, private addresses, rate
// limit, reload, exit codes. It is no kinder: what the real program lets through or refuses, this one does too. It
// knows no other configuration key and no other mode, and says so.
package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"os/signal"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"gopkg.in/yaml.v3"
)

type config struct {
	// Only strict refuses hosts that are not in the allowlist; balanced, the default, logs them.
	Mode         string   `yaml:"mode"`
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
	FetchProxy struct {
		Monitoring struct {
			// Requests a minute to one host.
			PerMinute int `yaml:"max_reqs_per_minute"`
		} `yaml:"monitoring"`
	} `yaml:"fetch_proxy"`
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
	read := &config{Mode: "balanced"}
	read.FetchProxy.Monitoring.PerMinute = 60
	if path == "" {
		return read, nil
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	decoder := yaml.NewDecoder(file)
	decoder.KnownFields(true)
	if err := decoder.Decode(read); err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if read.Mode != "strict" && read.Mode != "balanced" {
		return nil, fmt.Errorf("%s: mode %q is not known to the stand-in", path, read.Mode)
	}
	return read, nil
}

type proxy struct {
	config  atomic.Pointer[config]
	secret  []string
	started time.Time
	allowed atomic.Int64
	refused atomic.Int64
	// Times of the requests of the last minute, by host.
	recent map[string][]time.Time
	lock   sync.Mutex
}

// Variables whose values are no secrets, however long and mixed they are.
var ordinary = []string{"HOME", "HOSTNAME", "LANG", "LOGNAME", "OLDPWD", "PATH", "PWD", "SHELL", "SHLVL", "TERM", "TZ", "USER"}

const (
	// A value counts as a secret from this many bytes on,
	secretLength = 16
	// and from this many bits of entropy a byte.
	secretEntropy = 3.0
)

// Entropy of a text in bits a byte.
func entropy(text string) float64 {
	counts := map[byte]float64{}
	for at := range len(text) {
		counts[text[at]]++
	}
	bits := 0.0
	for _, count := range counts {
		share := count / float64(len(text))
		bits -= share * math.Log2(share)
	}
	return bits
}

// The values of the environment that must not leave.
func secrets(environment []string) []string {
	var found []string
	for _, variable := range environment {
		name, value, _ := strings.Cut(variable, "=")
		if len(value) >= secretLength && entropy(value) >= secretEntropy && !slices.Contains(ordinary, name) {
			found = append(found, value)
		}
	}
	return found
}

// Whether a host had as many requests within a minute as it may have.
func (p *proxy) exhausted(host string, limit int) bool {
	p.lock.Lock()
	defer p.lock.Unlock()
	now := time.Now()
	recent := slices.DeleteFunc(p.recent[host], func(at time.Time) bool { return now.Sub(at) > time.Minute })
	full := len(recent) >= limit
	if !full {
		recent = append(recent, now)
	}
	p.recent[host] = recent
	return full
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
	p := &proxy{secret: secrets(os.Environ()), started: time.Now(), recent: map[string][]time.Time{}}
	p.config.Store(first)
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
		p.own(w, r)
		return
	}
	if reason := p.judged(r); reason != "" {
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

// Answers what is asked of the proxy itself.
func (p *proxy) own(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	switch r.URL.Path {
	case "/health":
		fmt.Fprintf(w, `{"status":"healthy","mode":%q,"uptime_seconds":%.0f}`+"\n", p.config.Load().Mode, time.Since(p.started).Seconds())
	case "/stats":
		fmt.Fprintf(w, `{"requests":{"allowed":%d,"blocked":%d}}`+"\n", p.allowed.Load(), p.refused.Load())
	case "/metrics":
		w.Header().Set("Content-Type", "text/plain; version=0.0.4")
		fmt.Fprintf(w, "pipelock_requests_total{result=\"allowed\"} %d\npipelock_requests_total{result=\"blocked\"} %d\n", p.allowed.Load(), p.refused.Load())
	case "/fetch":
		p.fetch(w, r)
	default:
		http.NotFound(w, r)
	}
}

// Fetches the URL of the query as a request of the agent's own, under the same rules.
func (p *proxy) fetch(w http.ResponseWriter, r *http.Request) {
	target, err := http.NewRequestWithContext(r.Context(), http.MethodGet, r.URL.Query().Get("url"), nil)
	if err != nil || target.URL.Host == "" {
		w.WriteHeader(http.StatusBadRequest)
		_ = json.NewEncoder(w).Encode(map[string]any{"error": "url is missing or not absolute"})
		return
	}
	if reason := p.judged(target); reason != "" {
		w.WriteHeader(http.StatusForbidden)
		_ = json.NewEncoder(w).Encode(map[string]any{"url": target.URL.String(), "blocked": true, "block_reason": reason})
		return
	}
	answer, err := http.DefaultTransport.RoundTrip(target)
	if err != nil {
		w.WriteHeader(http.StatusBadGateway)
		_ = json.NewEncoder(w).Encode(map[string]any{"error": err.Error()})
		return
	}
	defer answer.Body.Close()
	body, _ := io.ReadAll(io.LimitReader(answer.Body, 1<<20))
	_ = json.NewEncoder(w).Encode(map[string]any{"url": target.URL.String(), "status_code": answer.StatusCode, "content": string(body)})
}

// The reason why a request is refused; empty: it may pass. Either way it is counted.
func (p *proxy) judged(r *http.Request) string {
	reason := p.blocked(r)
	if reason == "" {
		p.allowed.Add(1)
	} else {
		p.refused.Add(1)
		fmt.Println(reason)
	}
	return reason
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
	case !allowed && config.Mode == "strict":
		return "blocked: domain not in allowlist: " + host
	case p.exhausted(host, config.FetchProxy.Monitoring.PerMinute):
		return "blocked: rate limit exceeded: " + host
	case slices.ContainsFunc(p.secret, leaks):
		return "blocked: environment variable leak detected"
	}
	if !allowed {
		fmt.Println("warning: domain not in allowlist:", host)
	}
	if config.Scanning.Enabled && config.Scanning.Action == "block" && r.Method != http.MethodConnect {
		if reason := p.carried(r, config.Scanning.Headers && config.Scanning.HeaderMode == "all"); reason != "" {
			return reason
		}
	}
	addresses, err := net.DefaultResolver.LookupNetIP(r.Context(), "ip", host)
	if err != nil {
		return "blocked: SSRF check failed: DNS resolution error: " + host
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
	if r.Body == nil {
		return ""
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
