package daemon

import (
	"time"

	"golang.org/x/sys/unix"

	"github.com/halo-ha/halo/core/config"
	"github.com/halo-ha/halo/core/vrrp"
)

// hold is for how long a router that begins now is to listen only.
func (d *Daemon) hold(g *config.Generation) time.Duration {
	return vrrp.StartupHold(g.Global.StartupDelay, time.Since(d.started), g.Global.DelayAfterBoot, sinceBoot())
}

// sinceBoot is how long ago the machine was started, the time it slept included.
func sinceBoot() time.Duration {
	var ts unix.Timespec
	if unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts) != nil {
		return 0 // Every kernel of this century has it.
	}
	return time.Duration(ts.Nano())
}
