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
	// leaving are the instances that a reload has taken out, until their routers
	// are gone.
	leaving map[string]bool
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

// leave says that an instance is not configured any more.
func (p *places) leave(instance string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.leaving == nil {
		p.leaving = make(map[string]bool)
	}
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
