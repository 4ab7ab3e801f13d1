package daemon

import (
	"maps"
	"sync"
)

// places is which speaker each instance is with, and what it holds. Its lock is
// never held for longer than a look, so speakers may ask it.
type places struct {
	mu    sync.Mutex
	known map[string]whereabouts
	// leaving are the instances that a reload has taken out, until their routers
	// are gone.
	leaving map[string]bool
}

// whereabouts are an instance's speaker and virtual addresses.
type whereabouts struct {
	*running
	addresses []located
}

func newPlaces() places {
	return places{known: make(map[string]whereabouts), leaving: make(map[string]bool)}
}

// put says where an instance is, and which addresses it has.
func (p *places) put(instance string, s *running, addresses []located) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.known[instance] = whereabouts{s, addresses}
}

// forget says that an instance is nowhere.
func (p *places) forget(instance string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.known, instance)
}

// of returns an instance's speaker, nil for an instance that is not there.
func (p *places) of(instance string) *running {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.known[instance].running
}

// addresses are an instance's virtual addresses.
func (p *places) addresses(instance string) []located {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.known[instance].addresses
}

// leave says that an instance is not configured any more.
func (p *places) leave(instance string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.leaving[instance] = true
}

// left says, once, whether it was left, and not only moved.
func (p *places) left(instance string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	was := p.leaving[instance]
	delete(p.leaving, instance)
	return was
}

// all is a copy.
func (p *places) all() map[string]whereabouts {
	p.mu.Lock()
	defer p.mu.Unlock()
	return maps.Clone(p.known)
}
