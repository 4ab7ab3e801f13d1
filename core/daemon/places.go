package daemon

import (
	"maps"
	"sync"
)

// places is which speaker each instance is with. Its lock is never held for
// longer than a look, so speakers may ask it.
type places struct {
	mu       sync.Mutex
	speakers map[string]*running
	// held are the virtual addresses of each instance.
	held map[string][]located
}

// addresses are an instance's virtual addresses.
func (p *places) addresses(instance string) []located {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.held[instance]
}

// hold says which addresses an instance has.
func (p *places) hold(instance string, addresses []located) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.held[instance] = addresses
}

// of returns an instance's speaker, nil for an instance that is not there.
func (p *places) of(instance string) *running {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.speakers[instance]
}

// put says where an instance is; nil forgets it.
func (p *places) put(instance string, s *running) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if s == nil {
		delete(p.speakers, instance)
		delete(p.held, instance)
		return
	}
	p.speakers[instance] = s
}

// all is a copy.
func (p *places) all() map[string]*running {
	p.mu.Lock()
	defer p.mu.Unlock()
	return maps.Clone(p.speakers)
}
