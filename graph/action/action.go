// Package action is the executable part of a node, as plain data: what package graph stores,
// package llbgen lowers and the in-container helper carries out.
//
// Nothing here names an ecosystem. The JSON encoding of these types is part of two formats: the
// graph's JSON notation (see package graph), and the documents that llbgen hands to the helper.
// The package has no logic and imports nothing, because the helper's bytes depend on it: a change
// here changes the helper's digest, and with it the cache key of every op that runs the helper.
package action

// Paths inside the container of an op.
const (
	// OutDir is where an op leaves its result. A path inside a node's output is always written
	// relative to it ("bin/hello"). Everything in it gets one fixed modification time.
	OutDir = "/out"
	// InDir is the conventional parent of read-only inputs. Package graph's Join relies on it:
	// what a node writes to OutDir/P, its consumers should mount at InDir/P.
	InDir = "/in"
)

// Fetch downloads files, checks each against its integrity, and unpacks or places it. It is the
// only action with a network. All items end up in one output directory.
type Fetch struct {
	Items []Item `json:"items"`
	// Files are written beside the items, for instance a tool's own record of what was fetched. They
	// replace files of items; two items that make one path are an error.
	Files []File `json:"files,omitempty"`
}

// Item is one download.
type Item struct {
	// Name is the subject in messages: "lodash@4.17.21".
	Name string `json:"name"`
	// URLs are alternatives for the same bytes, tried in order. http and https only, except in a
	// document of @unpack. The next is tried when a server says that it doesn't have the file (404,
	// 410).
	URLs []string `json:"urls"`
	// AnyFailure[i] has the next URL tried after any failure of URLs[i], as if a "|" and no ","
	// stood between two entries of GOPROXY. What is missing is false.
	AnyFailure []bool `json:"anyFailure,omitempty"`
	// Integrity lists accepted digests. Forms: subresource integrity ("sha512-<base64>", also
	// sha384, sha256, sha1), "<algorithm>:<hex>", and Go's "h1:<base64>" (of a zip's content, or
	// of a single file taken as "go.mod"; see golang.org/x/mod/sumdb/dirhash). Of several
	// algorithms only the strongest counts, and any one digest of it suffices, as in the SRI
	// specification. Empty is refused unless Unverified is set. An h1 is that of a zip's content if
	// the item is unpacked or a destination ends in ".zip".
	Integrity  []string `json:"integrity,omitempty"`
	Unverified bool     `json:"unverified,omitempty"`
	// Unless passes over the item, without a download, where this path, relative to the output, exists
	// once all items without one are in place.
	Unless string `json:"unless,omitempty"`
	// Auth names the secret that carries the credential for these URLs: the complete value of an
	// Authorization header. It is sent to the host of the URL only, never to the host of a
	// redirect.
	Auth string `json:"auth,omitempty"`
	// AuthHost is the one host ("name" or "name:port", as in the URL) that the credential is for;
	// empty means those of all URLs.
	AuthHost string `json:"authHost,omitempty"`
	// Unpack says how the bytes become a directory; nil keeps them as one file.
	Unpack *Unpack `json:"unpack,omitempty"`
	// Dests are the paths, relative to the output, of the directory (or file) to make; the same
	// content is placed at each. "." is the output itself.
	Dests []string `json:"dests"`
	// Mode of the file when Unpack is nil; 0 means 0644.
	Mode uint32 `json:"mode,omitempty"`
}

// Unpack describes an archive.
type Unpack struct {
	// Format is "tar" (gzip, bzip2, zstd, xz or plain, told by its first bytes) or "zip".
	Format string `json:"format"`
	// Strip drops that many leading path elements; entries that have no more are skipped.
	Strip int `json:"strip,omitempty"`
	// RawStrip has Strip count "." and empty elements too, as tar --strip-components does: "./a" with 1
	// is "a". It excludes Prefix.
	RawStrip bool `json:"rawStrip,omitempty"`
	// Prefix keeps only entries below it and drops it, before Strip. An entry outside is skipped.
	Prefix string `json:"prefix,omitempty"`
	// An entry's permission bits become (entry | SetMode) &^ ClearMode. A zip entry without Unix
	// permissions counts as 0644. Directories are 0755, whatever the archive says.
	SetMode   uint32 `json:"setMode,omitempty"`
	ClearMode uint32 `json:"clearMode,omitempty"`
	// Links says what to do with symbolic and hard links: "keep" (relative, inside the destination,
	// with ".." only at the beginning), "skip" or "refuse". Empty is "refuse".
	Links string `json:"links,omitempty"`
	// Executable lists paths, relative to the unpacked directory, that get all execute bits.
	// A path that does not exist is ignored.
	Executable []string `json:"executable,omitempty"`
	// Hashbang ends the first line of an Executable file in LF where it begins with "#!" and ends
	// in CRLF: a kernel would take the CR for a part of the interpreter's name.
	Hashbang bool `json:"hashbang,omitempty"`
	// SkipDirs passes over the entries for directories: there are only those that files are in.
	SkipDirs bool `json:"skipDirs,omitempty"`
	// Rename maps the base name of a file entry to another base name. An entry that has that name
	// in the archive itself wins, wherever it stands.
	Rename map[string]string `json:"rename,omitempty"`
}

// File is a small file, symbolic link or directory given by value.
type File struct {
	// Path is absolute in Run.Files and relative to the output elsewhere.
	Path string `json:"path"`
	// Mode of a file (0: 0644) or directory (0: 0755).
	Mode uint32 `json:"mode,omitempty"`
	// Text or Data is the content; at most one is set.
	Text string `json:"text,omitempty"`
	Data []byte `json:"data,omitempty"`
	// Link makes a symbolic link with this target.
	Link string `json:"link,omitempty"`
	// Dir makes an empty directory.
	Dir bool `json:"dir,omitempty"`
	// If makes the file only where this path, relative to the output, exists once all items are
	// in place. Only Fetch.Files have it.
	If string `json:"if,omitempty"`
}

// Run executes programs.
type Run struct {
	// Files are written before the first command, at absolute paths. They are where response
	// files and import configurations go.
	Files []File `json:"files,omitempty"`
	// Tasks run as their After lists allow, at most one per processor at a time. Most nodes have
	// one; joined nodes have one for each member.
	Tasks []Task `json:"tasks"`
	// Outputs declares what the tasks leave. A declared output that is missing is an error.
	Outputs []Output `json:"outputs"`
}

// Task is a sequence of commands; the first one that fails ends it.
type Task struct {
	// Name is the subject in messages.
	Name     string    `json:"name"`
	Commands []Command `json:"commands"`
	// After lists the indices of tasks that must have succeeded first.
	After []int `json:"after,omitempty"`
}

// Command is one process, or one of the helper's built-in operations.
type Command struct {
	// Args is the program and its arguments. A program without a slash is looked up in PATH of
	// Env. If Args[0] begins with "@" it is a built-in:
	//   @append ARCHIVE FILE...   append object files to a Unix archive, as Go's pack does
	//   @copy SRC DST             copy a file or directory
	//   @mkdir DIR...             make directories and their parents
	//   @unpack FILE              do to files of the container what a Fetch does to downloads: FILE
	//                             has a Fetch as JSON, whose items have URLs "file:///path"
	Args []string `json:"args"`
	// Env is the whole environment, "NAME=value". A "NAME" alone passes a variable of the container
	// on, which is how a command gets a secret that is one.
	Env []string `json:"env,omitempty"`
	// Dir is the working directory; empty is "/".
	Dir string `json:"dir,omitempty"`
	// Stdout, if set, is the absolute path of the file that receives standard output.
	Stdout string `json:"stdout,omitempty"`
}

// Output is a file or directory that a Run leaves.
type Output struct {
	// Path is relative to OutDir.
	Path string `json:"path"`
	// From, if set, is an absolute path that is moved to Path after the tasks; for programs that
	// insist on a place of their own.
	From string `json:"from,omitempty"`
	// Optional allows the output to be missing.
	Optional bool `json:"optional,omitempty"`
}
