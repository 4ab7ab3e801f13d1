package control_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/halo-ha/halo/core/control"
	"github.com/halo-ha/halo/core/journal"
)

type fakeBackend struct {
	status control.Status
	reload control.ReloadReport
	hang   chan struct{}
	events *journal.Journal
}

func (b *fakeBackend) Journal() *journal.Journal { return b.events }

func (b *fakeBackend) Status() control.Status {
	if b.hang != nil {
		<-b.hang
	}
	return b.status
}

func (b *fakeBackend) Plugins() control.PluginList {
	return control.PluginList{Schema: control.Schema, Plugins: []control.Plugin{{Name: "halo-check-tcp", State: "running"}}}
}

func (b *fakeBackend) Reload(context.Context) control.ReloadReport { return b.reload }

// serve puts b on a socket in a temporary directory and returns its path.
func serve(t *testing.T, b control.Backend) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "halo.sock")
	l, err := control.Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- control.Serve(ctx, l, control.Handler(b), slog.New(slog.DiscardHandler)) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("serve: %v", err)
		}
		if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("socket file after close: %v, want it gone", err)
		}
	})
	return path
}

func TestClientAsksServer(t *testing.T) {
	backend := &fakeBackend{
		status: control.Status{Schema: control.Schema, Generation: 7, VRRPInstances: map[string]control.VRRPInstance{"VI_1": {State: "active"}}},
		reload: control.ReloadReport{Schema: control.Schema, Problems: []string{"halo.toml:3:1: no"}},
	}
	path := serve(t, backend)
	client := control.NewClient(path)
	status, err := client.Status(t.Context())
	if err != nil || status.Generation != 7 || status.VRRPInstances["VI_1"].State != "active" {
		t.Fatalf("Status() = %+v, %v", status, err)
	}
	plugins, err := client.Plugins(t.Context())
	if err != nil || len(plugins.Plugins) != 1 {
		t.Fatalf("Plugins() = %+v, %v", plugins, err)
	}
	report, err := client.Reload(t.Context())
	if err != nil || report.Applied || len(report.Problems) != 1 {
		t.Fatalf("Reload() = %+v, %v", report, err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("socket mode = %v, %v; want 0600", info.Mode(), err)
	}
}

func TestUnreachableIsExplained(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "none.sock")
	_, err := control.NewClient(missing).Status(t.Context())
	if !errors.Is(err, control.ErrUnreachable) || !strings.Contains(err.Error(), "halo run") {
		t.Fatalf("missing socket: %v", err)
	}

	hang := make(chan struct{})
	defer close(hang)
	path := serve(t, &fakeBackend{hang: hang})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := control.NewClient(path).Status(ctx); !errors.Is(err, control.ErrUnreachable) {
		t.Fatalf("hung daemon: %v, want ErrUnreachable", err)
	}
}

func TestListenReplacesOnlySockets(t *testing.T) {
	path := filepath.Join(t.TempDir(), "halo.sock")
	// What a killed daemon leaves: a socket file nobody listens on.
	stale, err := (&net.ListenConfig{}).Listen(t.Context(), "unix", path)
	if err != nil {
		t.Fatal(err)
	}
	stale.(*net.UnixListener).SetUnlinkOnClose(false)
	if err := stale.Close(); err != nil {
		t.Fatal(err)
	}
	l, err := control.Listen(path)
	if err != nil {
		t.Fatalf("stale socket: %v", err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}

	if err := os.WriteFile(path, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := control.Listen(path); err == nil || !strings.Contains(err.Error(), "in the way") {
		t.Fatalf("a file in the way: %v", err)
	}
	if content, err := os.ReadFile(path); err != nil || string(content) != "precious" {
		t.Fatalf("file in the way was touched: %q, %v", content, err)
	}
}

func TestMetricsComeFromStatus(t *testing.T) {
	weight := 3
	status := control.Status{
		Version: "1", Generation: 2, Config: control.ConfigStatus{LastReloadOK: true, LastReload: time.Unix(5, 0)},
		VRRPInstances: map[string]control.VRRPInstance{"VI_1": {
			State: "active", VirtualRouterID: 51, Interface: "eth0", EffectivePriority: 150,
			Entries: control.Entries{
				Addresses: []control.VirtualAddress{{Address: "192.0.2.10/24", Present: true, Restores: 4}, {Address: "fe80::1/64", Interface: "eth1"}},
				Routes:    []control.VirtualEntry{{Entry: "default via 192.0.2.254", Present: true, Restores: 2}},
				Rules:     []control.VirtualEntry{{Entry: "priority 100 lookup 7"}},
			},
			Counters: map[string]uint64{"adverts_sent": 9}, AdvertLateness: map[string]float64{"max": 0.25},
			AdvertGapHistogram: control.Histogram{Count: 3, Sum: 3.5, Buckets: []control.Bucket{{AtMost: 1.05, Count: 2}, {AtMost: 1.5, Count: 3}}},
		}},
		Static:         &control.Entries{Addresses: []control.VirtualAddress{{Address: "192.0.2.50/24", Interface: "eth0", Present: true}}},
		VRRPSyncGroups: map[string]control.VRRPSyncGroup{"G1": {State: "fault", Members: []string{"VI_1"}}},
		Trackers:       map[string]control.Tracker{"uplink": {Type: "interface", State: "down"}, "load": {Type: "file", State: "unknown"}, "nginx": {Type: "script", State: "up", Last: &control.Observation{Took: 0.25, Metrics: map[string]float64{"load": 3}}}},
		VirtualServers: map[string]control.VirtualServer{"web": {State: "up", Weight: 3, RealServers: map[string]control.RealServer{
			"192.0.2.30:80": {State: "up", Weight: 3, Checks: []control.Check{{Name: "tcp", State: "unknown", Weight: &weight, Metrics: map[string]float64{"load": 0.5}}}},
		}}},
		IPVS:    control.IPVS{InUse: true, Synced: true, Drifts: 1},
		Plugins: map[string]control.Plugin{"halo-check-tcp": {State: "running", Restarts: 2, Probes: 1}},
	}
	ready := false
	srv := httptest.NewServer(control.MetricsHandler(func() control.Status { return status }, func() bool { return ready }))
	defer srv.Close()

	body := get(t, srv.URL+"/metrics", http.StatusOK)
	for _, line := range []string{
		`halo_vrrp_state{iface="eth0",instance="VI_1",state="active",vrid="51"} 1`,
		`halo_vrrp_state{iface="eth0",instance="VI_1",state="backup",vrid="51"} 0`,
		`halo_vrrp_events_total{event="adverts_sent",instance="VI_1"} 9`,
		`halo_vrrp_lateness_max_seconds{instance="VI_1"} 0.25`,
		`halo_vrrp_advert_gap_seconds_bucket{instance="VI_1",le="1.05"} 2`,
		`halo_vrrp_advert_gap_seconds_bucket{instance="VI_1",le="+Inf"} 3`,
		`halo_vrrp_advert_gap_seconds_sum{instance="VI_1"} 3.5`,
		`halo_vrrp_lateness_seconds_count{instance="VI_1"} 0`,
		`halo_vrrp_sync_group_state{group="G1",state="fault"} 1`,
		`halo_tracker_up{tracker="uplink",type="interface"} 0`,
		`halo_tracker_up{tracker="load",type="file"} -1`,
		`halo_tracker_took_seconds{tracker="nginx",type="script"} 0.25`,
		`halo_tracker_metric{name="load",tracker="nginx"} 3`,
		`halo_vip_restores_total{address="192.0.2.10/24",instance="VI_1"} 4`,
		`halo_vip_present{address="fe80::1/64%eth1",instance="VI_1"} 0`,
		`halo_routing_restores_total{entry="route default via 192.0.2.254",instance="VI_1"} 2`,
		`halo_routing_present{entry="rule priority 100 lookup 7",instance="VI_1"} 0`,
		`halo_vip_present{address="192.0.2.50/24%eth0",instance="[static]"} 1`,
		`halo_service_up{service="web"} 1`,
		`halo_check_up{check="tcp",real_server="192.0.2.30:80",service="web"} -1`,
		`halo_check_metric{check="tcp",name="load",real_server="192.0.2.30:80",service="web"} 0.5`,
		`halo_ipvs_drifts_total 1`,
		`halo_plugin_restarts_total{plugin="halo-check-tcp"} 2`,
		`halo_config_last_reload_success 1`,
	} {
		if !strings.Contains(body, line+"\n") {
			t.Errorf("metrics lack %q", line)
		}
	}
	get(t, srv.URL+"/readyz", http.StatusServiceUnavailable)
	ready = true
	get(t, srv.URL+"/readyz", http.StatusOK)
	get(t, srv.URL+"/healthz", http.StatusOK)
}

func get(t *testing.T, url string, want int) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != want {
		t.Fatalf("GET %s = %s, %v; want %d", url, resp.Status, err, want)
	}
	return string(body)
}
