// Package plugins holds the end-to-end tests of what plugins can do to the
// halo binary, and it to them: real processes that hang, crash, flood and lie
// beside an election that must not notice, and what becomes of them when the
// core dies, stops or starts again. It contains tests only.
//
// Here virtual servers are configured but not put into a kernel's table, which
// these tests do without: what halo wants in service is in its status. The
// tests that look into a table are in cmd/halo/e2e/balancing.
//
// site_test.go has the two routers they run on; read it first. The broken
// plugins are in testdata/plugins.
package plugins
