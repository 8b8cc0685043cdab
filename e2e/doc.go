// Package e2e holds the end-to-end tests: scripts in testdata/script that run the real command on
// a real engine with real packages. Every script runs twice, on the embedded engine and on a stock
// buildkitd, unless its name begins with "embedded_" or "stock_".
package e2e
