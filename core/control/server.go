package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/halo-ha/halo/core/journal"
)

// Backend is what the server asks. Its methods are called from many
// goroutines at once and must answer from live state.
type Backend interface {
	Status() Status
	// Plugins lists running and merely installed plugins.
	Plugins() PluginList
	// Journal is what has happened. It is the same one each time.
	Journal() *journal.Journal
	// Reload reads the file again and waits until it is applied or refused.
	Reload(ctx context.Context) ReloadReport
}

// handlerTimeout bounds one request. A reload may validate thousands of
// probes in plugins that are slow to answer, hence the length.
const handlerTimeout = 60 * time.Second

// Handler serves the control API. It is exported for the tests of the daemon;
// Serve puts it on the socket.
func Handler(b Backend) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/status", func(w http.ResponseWriter, _ *http.Request) { reply(w, b.Status()) })
	mux.HandleFunc("GET /v1/plugins", func(w http.ResponseWriter, _ *http.Request) { reply(w, b.Plugins()) })
	mux.HandleFunc("POST /v1/reload", func(w http.ResponseWriter, r *http.Request) { reply(w, b.Reload(r.Context())) })
	outer := http.NewServeMux()
	outer.Handle("/", http.TimeoutHandler(mux, handlerTimeout, "halo did not answer in time\n"))
	// Who follows the events has all the time there is.
	outer.HandleFunc("GET /v1/events", events(b.Journal()))
	return outer
}

func reply(w http.ResponseWriter, document any) {
	w.Header().Set("Content-Type", "application/json")
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	// The peer may have gone away; there is nobody left to tell.
	_ = enc.Encode(document)
}

// Listen makes the control socket at path, readable and writable by its owner
// only. A socket file left by a dead daemon is replaced: the caller holds the
// runtime directory's lock, so no living daemon of this directory owns it. A
// file that is not a socket is never removed.
func Listen(path string) (net.Listener, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, fmt.Errorf("make directory for control socket: %w", err)
	}
	if info, err := os.Lstat(path); err == nil {
		if info.Mode()&fs.ModeSocket == 0 {
			return nil, fmt.Errorf("control socket %s: a file that is not a socket is in the way; move it or set [control] socket", path)
		}
		if err := os.Remove(path); err != nil {
			return nil, fmt.Errorf("remove stale control socket: %w", err)
		}
	}
	// Bound under a private name and renamed, so that no moment exists in
	// which somebody else could connect.
	temporary := path + ".new"
	if err := os.Remove(temporary); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("remove stale control socket: %w", err)
	}
	l, err := (&net.ListenConfig{}).Listen(context.Background(), "unix", temporary)
	if err != nil {
		return nil, fmt.Errorf("listen on control socket %s: %w", path, err)
	}
	if u, ok := l.(*net.UnixListener); ok {
		u.SetUnlinkOnClose(false)
	}
	if err := errors.Join(os.Chmod(temporary, 0o600), os.Rename(temporary, path)); err != nil {
		_ = l.Close()
		return nil, fmt.Errorf("place control socket %s: %w", path, err)
	}
	return &socketListener{Listener: l, path: path}, nil
}

// socketListener removes the socket file when it is closed.
type socketListener struct {
	net.Listener
	path string
}

func (l *socketListener) Close() error {
	err := l.Listener.Close()
	if rmErr := os.Remove(l.path); rmErr != nil && !errors.Is(rmErr, fs.ErrNotExist) {
		err = errors.Join(err, rmErr)
	}
	return err
}

// Serve answers on l until ctx ends, then closes l and waits briefly for
// requests under way.
func Serve(ctx context.Context, l net.Listener, h http.Handler, logger *slog.Logger) error {
	srv := &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 5 * time.Second,
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(logger.Handler(), slog.LevelDebug),
	}
	done := make(chan error, 1)
	go func() { done <- srv.Serve(l) }()
	select {
	case err := <-done:
		return fmt.Errorf("serve %s: %w", l.Addr(), err)
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), 200*time.Millisecond)
	defer cancel()
	if err := srv.Shutdown(grace); err != nil {
		_ = srv.Close()
	}
	if err := <-done; !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve %s: %w", l.Addr(), err)
	}
	return nil
}
