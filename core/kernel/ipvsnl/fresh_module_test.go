package ipvsnl_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/halo-ha/halo/core/ipvs"
	"github.com/halo-ha/halo/core/kernel/ipvsnl"
	"github.com/halo-ha/halo/core/kernel/kerneltest"
)

// The tests of this file run before all others that touch the kernel, by the
// name of the file. They unload modules, which a service of any namespace
// holds, and the kernel takes the namespaces of ended tests apart when it
// pleases: one that waits for a device to be let go of holds up all that
// follow, for minutes on a starved machine.

// TestKernelModuleReload takes the module away under an open Handle and brings it
// back: errors say what to do, and no restart is needed.
func TestKernelModuleReload(t *testing.T) {
	r := newRealTable(t)
	service := ipvs.Service{Key: ipvs.AddressKey(ipvs.TCP, address("192.0.2.10:80")), Scheduler: "rr"}
	r.become(ipvs.Table{service})
	r.become(nil)

	reload := unload(t)
	_, dumpErr := r.handle.Dump(nil)
	_, versionErr := r.handle.Version()
	applyErr := r.handle.Apply(ipvs.Op{Verb: ipvs.AddService, Service: service})
	reload()
	for _, err := range []error{dumpErr, versionErr, applyErr} {
		if err == nil || !strings.Contains(err.Error(), `the kernel has no IPVS: load it with "modprobe ip_vs"`) {
			t.Errorf("without the module: %v", err)
		}
	}
	// The namespace is still its own, although this goroutine is not in it.
	r.become(ipvs.Table{service})
	if v, err := r.handle.Version(); err != nil || !strings.HasPrefix(v, "1.") {
		t.Errorf("version %q, %v", v, err)
	}
	r.become(nil)
}

// TestKernelModuleReplaced has the module reloaded between two calls, so that the
// Handle's family id is stale when it is used next.
func TestKernelModuleReplaced(t *testing.T) {
	one := ipvs.MarkKey(1, ipvs.IPv4)
	calls := map[string]func(*realTable) error{
		"dump": func(r *realTable) error { _, err := r.handle.Dump(nil); return err },
		"read": func(r *realTable) error { _, _, err := r.handle.Read(one); return err },
		"apply": func(r *realTable) error {
			return r.handle.Apply(ipvs.Op{Verb: ipvs.AddService, Service: ipvs.Service{Key: one, Scheduler: "rr"}})
		},
	}
	for name, call := range calls {
		t.Run(name, func(t *testing.T) {
			r := newRealTable(t)
			r.become(nil)
			unload(t)()
			if err := call(r); err != nil {
				t.Errorf("with the module reloaded: %v", err)
			}
			r.become(nil)
		})
	}
}

// moduleFiles is where the test kernel keeps its modules.
const moduleFiles = "/.guest/modules"

// unload takes ip_vs and everything that needs it out of the kernel. It returns
// how to bring them back, which happens at the latest when the test ends.
func unload(t *testing.T) (reload func()) {
	t.Helper()
	entries, err := os.ReadDir("/sys/module/ip_vs/holders")
	if err != nil {
		t.Fatal(err)
	}
	names := []string{"ip_vs"}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	absent := map[string]bool{}
	reload = func() {
		for _, name := range names {
			if !absent[name] {
				continue
			}
			if err := load(name); err != nil {
				t.Errorf("load %s: %v", name, err)
			}
			absent[name] = false
		}
	}
	t.Cleanup(reload)
	for _, name := range slices.Backward(names) {
		// What an earlier test left in its namespace goes some time after it.
		deadline := time.Now().Add(time.Minute)
		for {
			err := unix.DeleteModule(name, unix.O_NONBLOCK)
			if err == nil {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("unload %s: %v", name, err)
			}
			time.Sleep(50 * time.Millisecond)
		}
		absent[name] = true
	}
	return reload
}

func load(name string) error {
	f, err := os.Open(filepath.Join(moduleFiles, name+".ko"))
	if err != nil {
		return err
	}
	return errors.Join(unix.FinitModule(int(f.Fd()), "", 0), f.Close())
}

// TestKernelWithoutPrivilege does everything on a thread without CAP_NET_ADMIN.
func TestKernelWithoutPrivilege(t *testing.T) {
	kerneltest.RequireIPVS(t)
	result := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // Never unlocked: the thread dies without its privilege.
		result <- withoutNetAdmin(func() error {
			h, err := ipvsnl.Open()
			if err != nil {
				return err
			}
			_, err = h.Dump(nil)
			return errors.Join(err, h.Close())
		})
	}()
	err := <-result
	if !errors.Is(err, fs.ErrPermission) || !strings.Contains(err.Error(), "CAP_NET_ADMIN") || !strings.Contains(err.Error(), "AmbientCapabilities") {
		t.Errorf("got %v", err)
	}
}

func withoutNetAdmin(f func() error) error {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&header, &data[0]); err != nil {
		return err
	}
	data[0].Effective &^= 1 << unix.CAP_NET_ADMIN
	data[0].Permitted &^= 1 << unix.CAP_NET_ADMIN
	if err := unix.Capset(&header, &data[0]); err != nil {
		return err
	}
	return f()
}
