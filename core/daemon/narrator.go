package daemon

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/halo-ha/halo/core/balance"
	"github.com/halo-ha/halo/core/pool"
)

// narrator tells the log what happens to services. It implements
// balance.Observer.
type narrator struct{ logger *slog.Logger }

// Changed implements balance.Observer.
func (n narrator) Changed(service string, action pool.Action) {
	switch a := action.(type) {
	case pool.ServerChanged:
		n.server(service, a)
	case pool.QuorumChanged:
		message := "service has quorum"
		if a.To == pool.Down {
			message = "service has lost quorum"
		}
		n.logger.Warn(message, "service", service, "from", a.From.String(), "to", a.To.String(), "reason", a.Reason.String(),
			"weight", a.Weight, "quorum", a.Quorum, "sorry", a.Sorry)
	case pool.SetTable:
		n.logger.Debug("wanted table changed", "service", service, "reason", a.Reason.String(), "destinations", len(a.Service.Destinations))
	default:
		n.logger.Error("unknown pool action", "service", service, "action", fmt.Sprintf("%T", action))
	}
}

func (n narrator) server(service string, a pool.ServerChanged) {
	level, message := slog.LevelInfo, "real server changed"
	switch {
	case a.InService && !a.WasInService:
		message = "real server enters service"
	case !a.InService && a.WasInService:
		level, message = slog.LevelWarn, "real server leaves service"
	}
	n.logger.Log(context.Background(), level, message, "service", service, "real_server", a.Server,
		"from", a.From.String(), "to", a.To.String(), "reason", a.Why.String(), "weight", a.Weight)
}

// Drifted implements balance.Observer.
func (n narrator) Drifted(d balance.Drift) {
	for _, c := range d.Changes {
		n.logger.Warn("ipvs drift repaired", "service", c.Service, "what", c.What, "object", c.Object, "from", c.From, "to", c.To)
	}
	if more := d.Total - len(d.Changes); more > 0 {
		n.logger.Warn("ipvs drift repaired", "more", more)
	}
}
