package control

import (
	"net/http"
	"strconv"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// MetricsHandler serves /metrics, /healthz and /readyz, read-only. Every
// scrape is made from a fresh Status, so metrics and `halo status` cannot
// disagree. ready reports whether the daemon has finished starting.
func MetricsHandler(status func() Status, ready func() bool) http.Handler {
	registry := prometheus.NewRegistry()
	registry.MustRegister(
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		collector{status},
	)
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { status(); answer(w, true) })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) { answer(w, ready()) })
	return http.TimeoutHandler(mux, handlerTimeout, "halo did not answer in time\n")
}

func answer(w http.ResponseWriter, ok bool) {
	if !ok {
		http.Error(w, "not ready", http.StatusServiceUnavailable)
		return
	}
	_, _ = w.Write([]byte("ok\n"))
}

// metric is one time series family of the collector.
type metric struct {
	desc *prometheus.Desc
	kind prometheus.ValueType
}

func gauge(name, help string, labels ...string) metric {
	return metric{prometheus.NewDesc("halo_"+name, help, labels, nil), prometheus.GaugeValue}
}

func counter(name, help string, labels ...string) metric {
	return metric{prometheus.NewDesc("halo_"+name, help, labels, nil), prometheus.CounterValue}
}

// The families. States are one series per possible state with value 0 or 1,
// the form alert rules can sum over.
var (
	infoMetric          = gauge("info", "Constant 1, labelled with the version and router id.", "version", "router_id")
	generationMetric    = gauge("config_generation", "Number of the running configuration generation.")
	reloadSuccessMetric = gauge("config_last_reload_success", "1 if the last reload was applied, 0 if it was refused.")
	reloadTimeMetric    = gauge("config_last_reload_timestamp_seconds", "When the last reload was tried.")
	degradedMetric      = gauge("degraded", "Number of things halo itself cannot do.")

	eventsMetric        = counter("events_total", "Events that were recorded.")
	eventsDroppedMetric = counter("events_dropped_total", "Events that could not be recorded, because too much happened at once.")

	vrrpStateMetric    = gauge("vrrp_state", "1 for the state the virtual router is in.", "instance", "vrid", "iface", "state")
	vrrpPriorityMetric = gauge("vrrp_effective_priority", "Priority the virtual router advertises.", "instance")
	vrrpCounterMetric  = counter("vrrp_events_total", "What the virtual router counted, by event.", "instance", "event")
	vrrpMismatchMetric = gauge("vrrp_mismatches", "Settings on which the last peer disagrees.", "instance")
	vrrpLatenessMetric = gauge("vrrp_lateness_max_seconds", "Largest lateness of the instance's timers since start.", "instance")
	vrrpLateMetric     = prometheus.NewDesc("halo_vrrp_lateness_seconds", "How late the instance's timers were served.", []string{"instance"}, nil)
	vrrpGapMetric      = prometheus.NewDesc("halo_vrrp_advert_gap_seconds", "Time between two own advertisements while active.", []string{"instance"}, nil)
	vipPresentMetric   = gauge("vip_present", "1 while the address is on this machine.", "instance", "address")
	vipRestoresMetric  = counter("vip_restores_total", "Times the address was put back after somebody removed it.", "instance", "address")

	routingPresentMetric  = gauge("routing_present", "1 while the route or rule is on this machine.", "instance", "entry")
	routingRestoresMetric = counter("routing_restores_total", "Times the route or rule was put back after somebody removed it.", "instance", "entry")

	groupStateMetric   = gauge("vrrp_sync_group_state", "1 for the state the sync group is in.", "group", "state")
	trackerTookMetric  = gauge("tracker_took_seconds", "How long the plugin's last observation took.", "tracker", "type")
	trackerValueMetric = gauge("tracker_metric", "A value the plugin reported.", "tracker", "name")
	trackerUpMetric    = gauge("tracker_up", "1 when the tracker is up, 0 when down, -1 when unknown.", "tracker", "type")

	serviceUpMetric     = gauge("service_up", "1 while the virtual server has quorum.", "service")
	serviceWeightMetric = gauge("service_weight", "Total weight of the servers that are up.", "service")
	serviceSorryMetric  = gauge("service_sorry", "1 while the sorry server serves.", "service")
	realStateMetric     = gauge("real_server_state", "1 for the state the real server is in.", "service", "real_server", "state")
	realWeightMetric    = gauge("real_server_weight", "Weight wanted in the kernel's table.", "service", "real_server")
	checkTookMetric     = gauge("check_took_seconds", "How long the last probe took.", "service", "real_server", "check")
	checkUpMetric       = gauge("check_up", "1 when the check is up, 0 when down, -1 when unknown.", "service", "real_server", "check")
	checkValueMetric    = gauge("check_metric", "A value the checker reported.", "service", "real_server", "check", "name")

	ipvsSyncedMetric = gauge("ipvs_synced", "1 while the kernel's table is the wanted one.")
	ipvsDriftMetric  = counter("ipvs_drifts_total", "Changes by others that were repaired.")

	pluginStateMetric    = gauge("plugin_state", "1 for the state the plugin process is in.", "plugin", "state")
	pluginRestartsMetric = counter("plugin_restarts_total", "Times the plugin process was started again.", "plugin")
	pluginProbesMetric   = gauge("plugin_probes", "Probes the plugin process runs.", "plugin")
)

// collector turns a Status into metrics. It describes nothing in advance
// (an "unchecked" collector): its series depend on the configuration.
type collector struct{ status func() Status }

func (collector) Describe(chan<- *prometheus.Desc) {}

func (c collector) Collect(ch chan<- prometheus.Metric) {
	s := c.status()
	emit := func(m metric, value float64, labels ...string) {
		for i := range labels {
			labels[i] = strings.ToValidUTF8(labels[i], "?")
		}
		ch <- prometheus.MustNewConstMetric(m.desc, m.kind, value, labels...)
	}
	emit(infoMetric, 1, s.Version, s.RouterID)
	emit(generationMetric, float64(s.Generation))
	emit(reloadSuccessMetric, truth(s.Config.LastReloadOK))
	emit(reloadTimeMetric, float64(s.Config.LastReload.Unix()))
	emit(degradedMetric, float64(len(s.Degraded)))
	emit(eventsMetric, float64(s.Events.Last))
	emit(eventsDroppedMetric, float64(s.Events.Dropped))
	for name, v := range s.VRRPInstances {
		collectInstance(emit, name, v)
		ch <- v.AdvertLatenessHistogram.metric(vrrpLateMetric, name)
		ch <- v.AdvertGapHistogram.metric(vrrpGapMetric, name)
	}
	if s.Static != nil {
		collectEntries(emit, "[static]", *s.Static) // No instance can be called that.
	}
	for name, g := range s.VRRPSyncGroups {
		for _, state := range vrrpStates() {
			emit(groupStateMetric, truth(state == g.State), name, state)
		}
	}
	for name, k := range s.Trackers {
		emit(trackerUpMetric, verdict(k.State), name, k.Type)
		if k.Last != nil {
			emit(trackerTookMetric, k.Last.Took, name, k.Type)
			for key, value := range k.Last.Metrics {
				emit(trackerValueMetric, value, name, key)
			}
		}
	}
	for name, v := range s.VirtualServers {
		collectService(emit, name, v)
	}
	if s.IPVS.InUse {
		emit(ipvsSyncedMetric, truth(s.IPVS.Synced))
		emit(ipvsDriftMetric, float64(s.IPVS.Drifts))
	}
	for name, p := range s.Plugins {
		emit(pluginStateMetric, 1, name, p.State)
		emit(pluginRestartsMetric, float64(p.Restarts), name)
		emit(pluginProbesMetric, float64(p.Probes), name)
	}
}

func (h *Histogram) metric(desc *prometheus.Desc, instance string) prometheus.Metric {
	buckets := make(map[float64]uint64, len(h.Buckets))
	for _, b := range h.Buckets {
		buckets[b.AtMost] = b.Count
	}
	return prometheus.MustNewConstHistogram(desc, h.Count, h.Sum, buckets, strings.ToValidUTF8(instance, "?"))
}

type emitter func(m metric, value float64, labels ...string)

// verdict is 1 for up, 0 for down and -1 for what is not known.
func verdict(state string) float64 {
	if state == "unknown" {
		return -1
	}
	return truth(state == "up")
}

func vrrpStates() []string { return []string{"initialize", "backup", "active", "fault"} }

func collectInstance(emit emitter, name string, v VRRPInstance) {
	for _, state := range vrrpStates() {
		emit(vrrpStateMetric, truth(state == v.State), name, itoa(v.VirtualRouterID), v.Interface, state)
	}
	emit(vrrpPriorityMetric, float64(v.EffectivePriority), name)
	emit(vrrpMismatchMetric, float64(len(v.Mismatches)), name)
	for event, n := range v.Counters {
		emit(vrrpCounterMetric, float64(n), name, event)
	}
	if late, ok := v.AdvertLateness["max"]; ok {
		emit(vrrpLatenessMetric, late, name)
	}
	collectEntries(emit, name, v.Entries)
}

// collectEntries tells of what an instance holds, or of what is static.
func collectEntries(emit emitter, name string, v Entries) {
	for _, a := range v.Addresses {
		address := a.Address
		if a.Interface != "" {
			address += "%" + a.Interface // The same link-local one may be on several.
		}
		emit(vipPresentMetric, truth(a.Present), name, address)
		emit(vipRestoresMetric, float64(a.Restores), name, address)
	}
	for what, list := range map[string][]VirtualEntry{"route ": v.Routes, "rule ": v.Rules} {
		for _, e := range list {
			emit(routingPresentMetric, truth(e.Present), name, what+e.Entry)
			emit(routingRestoresMetric, float64(e.Restores), name, what+e.Entry)
		}
	}
}

func collectService(emit emitter, name string, v VirtualServer) {
	emit(serviceUpMetric, truth(v.State == "up"), name)
	emit(serviceWeightMetric, float64(v.Weight), name)
	emit(serviceSorryMetric, truth(v.SorryActive), name)
	for address, r := range v.RealServers {
		for _, state := range []string{"unknown", "up", "down"} {
			emit(realStateMetric, truth(state == r.State), name, address, state)
		}
		emit(realWeightMetric, float64(r.Weight), name, address)
		for _, c := range r.Checks {
			emit(checkUpMetric, verdict(c.State), name, address, c.Name)
			emit(checkTookMetric, c.Took, name, address, c.Name)
			for key, value := range c.Metrics {
				emit(checkValueMetric, value, name, address, c.Name, key)
			}
		}
	}
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

func itoa(n uint8) string { return strconv.Itoa(int(n)) }
