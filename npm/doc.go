// Package npm turns npm's lockfiles into the graph of a node_modules tree.
package npm
