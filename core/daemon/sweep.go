package daemon

// sweep removes, once the kernel's links are known, what an earlier run left that
// had another configuration and was killed. What belongs to one of this
// configuration's instances is left to that. Where another halo works it does
// nothing: the kernel does not say whose the entries are.
func (e *election) sweep(alone func() (bool, error)) {
	e.ending.Go(func() {
		select {
		case <-e.looked:
		case <-e.closing:
			return
		}
		switch is, err := alone(); {
		case err != nil:
			e.logger.Warn("left-overs of earlier runs are not looked for", "error", err)
			return
		case !is:
			e.logger.Warn("left-overs of earlier runs are not looked for: another halo runs in this network namespace")
			return
		}
		// A reload meanwhile would bring instances whose entries are not known
		// to belong to anybody.
		e.changing.Lock()
		defer e.changing.Unlock()
		if err := e.addresses.Sweep(); err != nil {
			e.logger.Error("left-overs of earlier runs cannot be removed", "error", err)
		}
	})
}
