package daemon

import (
	"fmt"
	"log/slog"

	"github.com/halo-ha/halo/core/balance"
	"github.com/halo-ha/halo/core/journal"
	"github.com/halo-ha/halo/core/pool"
)

// narrator tells the journal, the log, and who depends on it, what happens to
// services. It implements balance.Observer.
type narrator struct {
	journal *journal.Journal
	logger  *slog.Logger
	// service is told of every change of a virtual server; it must not wait.
	service func(name string, to pool.State)
}

// Changed implements balance.Observer.
func (n narrator) Changed(service string, action pool.Action) {
	switch a := action.(type) {
	case pool.ServerChanged:
		n.journal.Record(serverEvent(service, a))
		n.server(service, a)
	case pool.QuorumChanged:
		n.journal.Record(quorumEvent(service, a))
		n.service(service, a.To)
		attributes := []any{
			"service", service, "from", a.From.String(), "to", a.To.String(), "reason", a.Reason.String(),
			"weight", a.Weight, "quorum", a.Quorum, "sorry", a.Sorry,
		}
		if a.To == pool.Down {
			n.logger.Warn("service has lost quorum", attributes...)
		} else {
			n.logger.Info("service has quorum", attributes...)
		}
	case pool.SetTable:
		n.logger.Debug("wanted table changed", "service", service, "reason", a.Reason.String(), "destinations", len(a.Service.Destinations))
	default:
		n.logger.Error("unknown pool action", "service", service, "action", fmt.Sprintf("%T", action))
	}
}

func (n narrator) server(service string, a pool.ServerChanged) {
	attributes := []any{
		"service", service, "real_server", a.Server, "from", a.From.String(), "to", a.To.String(), "reason", a.Why.String(), "weight", a.Weight,
	}
	switch {
	case a.InService && !a.WasInService:
		n.logger.Info("real server enters service", attributes...)
	case !a.InService && a.WasInService:
		n.logger.Warn("real server leaves service", attributes...)
	default:
		n.logger.Info("real server changed", attributes...)
	}
}

// Drifted implements balance.Observer.
func (n narrator) Drifted(d balance.Drift) {
	for _, e := range driftEvents(d) {
		n.journal.Record(e)
	}
	for _, c := range d.Changes {
		n.logger.Warn("ipvs drift repaired", "service", c.Service, "what", c.What, "object", c.Object, "from", c.From, "to", c.To)
	}
	if more := d.Total - len(d.Changes); more > 0 {
		n.logger.Warn("ipvs drift repaired", "more", more)
	}
}
