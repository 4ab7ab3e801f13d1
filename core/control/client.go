package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"strings"
	"time"
)

// ErrUnreachable is wrapped by every client error that means no daemon
// answered; the command line turns it into exit code 4.
var ErrUnreachable = errors.New("daemon not reachable")

// Client talks to the daemon behind one socket.
type Client struct {
	socket string
	http   *http.Client
}

// NewClient makes a client for the socket at path. It opens nothing yet.
func NewClient(path string) *Client {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{Timeout: 2 * time.Second}).DialContext(ctx, "unix", path)
	}
	return &Client{socket: path, http: &http.Client{Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true}}}
}

// Status asks for the status; an answer that takes over five seconds is an error.
func (c *Client) Status(ctx context.Context) (s Status, err error) {
	err = c.call(ctx, http.MethodGet, "/v1/status", 5*time.Second, &s)
	return s, err
}

// Plugins asks for the list of plugins.
func (c *Client) Plugins(ctx context.Context) (l PluginList, err error) {
	err = c.call(ctx, http.MethodGet, "/v1/plugins", 5*time.Second, &l)
	return l, err
}

// Reload makes the daemon read its file again and waits for the outcome, up to
// a minute.
func (c *Client) Reload(ctx context.Context) (r ReloadReport, err error) {
	err = c.call(ctx, http.MethodPost, "/v1/reload", time.Minute, &r)
	return r, err
}

func (c *Client) call(ctx context.Context, method, path string, limit time.Duration, into any) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, "http://halo"+path, http.NoBody)
	if err != nil {
		return fmt.Errorf("make request: %w", err)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return c.explain(err, limit)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 64<<20))
	if err != nil {
		return c.explain(err, limit)
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s %s: %s: %s", method, path, resp.Status, strings.TrimSpace(string(body)))
	}
	if err := json.Unmarshal(body, into); err != nil {
		return fmt.Errorf("read answer of %s: %w", path, err)
	}
	return nil
}

// explain says what is wrong with the socket and what to do about it.
func (c *Client) explain(err error, limit time.Duration) error {
	var remedy string
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		remedy = fmt.Sprintf("no answer within %s: the daemon hangs or the machine is overloaded", limit)
	case errors.Is(err, fs.ErrNotExist):
		remedy = "no such socket: is `halo run` running, and with this [control] socket? (--socket names another)"
	case errors.Is(err, fs.ErrPermission):
		remedy = "permission denied: the socket is its owner's alone; run this as the user halo runs as (usually root)"
	default:
		remedy = err.Error()
	}
	return fmt.Errorf("%w: %s: %s", ErrUnreachable, c.socket, remedy)
}
