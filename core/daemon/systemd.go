package daemon

import (
	"context"
	"fmt"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"golang.org/x/sys/unix"
)

// tell reports to the service manager, if there is one. Nothing depends on
// whether it listens.
func tell(state string) { _, _ = daemon.SdNotify(false, state) }

// tellReloading says that a reload begins; READY=1 ends it.
func tellReloading() {
	var now unix.Timespec
	if unix.ClockGettime(unix.CLOCK_MONOTONIC, &now) == nil {
		tell(fmt.Sprintf("%s\nMONOTONIC_USEC=%d", daemon.SdNotifyReloading, now.Nano()/1000))
	}
}

// feedWatchdog pets the service manager's watchdog for as long as alive says
// so, at half the period it asks for. Without a watchdog it returns at once.
func feedWatchdog(ctx context.Context, alive func() bool) {
	period, err := daemon.SdWatchdogEnabled(false)
	if err != nil || period == 0 {
		return
	}
	ticker := time.NewTicker(period / 2)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			if alive() {
				tell(daemon.SdNotifyWatchdog)
			}
		}
	}
}
