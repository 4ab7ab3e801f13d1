package daemon

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"

	"github.com/halo-ha/halo/core/control"
)

// metricsServer is the listener of [control] metrics, which a reload may move
// or close.
type metricsServer struct {
	handler http.Handler
	logger  *slog.Logger

	address string
	stop    func()
}

// listen opens address without serving it yet, so that a reload that cannot
// have it is refused before anything was applied. An address that is served
// already, and an empty one, open nothing.
func (m *metricsServer) listen(ctx context.Context, address string) (net.Listener, error) {
	if address == "" || address == m.address {
		return nil, nil //nolint:nilnil // nothing to open is no error
	}
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("listen for metrics on %s ([control] metrics): %w", address, err)
	}
	return l, nil
}

// serve makes address the one that is served, on the listener that listen
// returned for it.
func (m *metricsServer) serve(address string, l net.Listener) {
	if address == m.address {
		return
	}
	m.close()
	m.address = address
	if l == nil {
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	var done sync.WaitGroup
	done.Go(func() {
		if err := control.Serve(ctx, l, m.handler, m.logger); err != nil {
			m.logger.Error("metrics are not served any more", "error", err)
		}
	})
	m.stop = func() { cancel(); done.Wait() }
}

// close stops serving.
func (m *metricsServer) close() {
	if m.stop != nil {
		m.stop()
	}
	m.address, m.stop = "", nil
}
