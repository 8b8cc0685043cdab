// Package export writes the result of a build to a directory, layer by layer, and touches only what
// changed since it last wrote there. It is the embedded engine's own exporter (Wrap); Sync is the
// same without BuildKit.
//
// # What is promised
//
// After Sync returns without error, every path of the result is in the destination: regular files
// with their content and permission bits, symbolic links, directories. A file or link in its place,
// whoever put it there, has been replaced.
//
// What an export wrote belongs to the exports until it is removed: if somebody edited it, the next
// export restores it, and if the result no longer has it, it is removed, edited or not (a module
// that is no longer in the result must not be found by chance). What no export wrote stays, and so
// do the directories that hold it. If such a thing is in the way (a link or file where the result has a
// directory, a directory where it has a file), the export fails with a ConflictError and changes nothing.
//
// A destination can hold several results (Request.Results), each known by a name: an export removes
// only what belongs to the results that it delivers. A path belongs to the result that wrote it last;
// what one result left in the way of another's is replaced.
//
// A directory that was there before an export came to it keeps its mode, and is never removed.
//
// No symbolic link below the destination is ever followed: every directory is opened from the
// destination's own descriptor with RESOLVE_NO_SYMLINKS, and everything else is done by a single name
// in an opened directory. The destination itself may be a link.
//
// Not carried over: owners (files belong to this process, or to Request.Owner), the setuid, setgid
// and sticky bits, extended attributes, times (a file has the time at which it was written, so that
// tools which compare times notice it), and hard links (each name gets a file of its own, so that
// an edit of one doesn't change the other). Devices, pipes and sockets are refused. Nothing in the
// destination shares storage with the engine's cache in a way that an edit could reach: content
// is copied, or cloned where the file system can.
//
// # Why an unchanged file is known without reading it
//
// The caller gives each layer an ID that stands for its content for ever. The manifest (one for each
// destination, in the state directory) remembers what each layer changes, so unchanged layers
// aren't even opened, and for each written path the layer that it came from and how the file
// looked right after writing: inode, size, modification and change time in nanoseconds. A file is
// left alone only if the same layer still gives it and all of these are the same. The change time
// can't be set, so restoring the modification time hides no edit. In every other case (another
// layer, a touched or replaced file, no manifest) the content is compared, and the file is written
// only if it differs. An edit that is made while an export runs may go unnoticed on kernels whose
// clock for files is coarser than the edit is quick.
//
// A directory that was removed and made again under the same name is another directory: the
// manifest names its device, inode and time of birth. Without a manifest (the engine's state was
// discarded, the directory was moved) the export is right too, but reads more, and what earlier
// exports wrote counts as somebody else's.
//
// # Why an interruption does no harm
//
// A run has three phases.
//
//   - Planning compares. It changes nothing, except that it removes staging directories of killed
//     runs: their flock is free.
//   - Staging writes every new file, and every new directory with all that is in it, into a hidden
//     directory of the destination (".mergefest-stage-…", one for each file system that the
//     destination spans). All reading of layers, all network and nearly all use of space is here.
//     A failure or a cancellation removes the staging directory, and nothing visible has changed.
//   - Committing removes, renames and changes modes, and nothing else, without looking at ctx. A new
//     directory takes one rename, however much is in it.
//
// So a file is seen whole or not at all. What a killed commit leaves is a mixture of whole old and
// whole new files, which the next export has to recognise as its own. For that the intent is
// saved before the commit: the manifest as it will be, with the inodes that staging gave. A rename
// keeps the inode, so afterwards a path belongs to the killed run exactly if its inode is the
// intent's; a file of the user's that was to be replaced, but wasn't yet, doesn't become ours. The
// manifest of the run before stays until the new one replaces it, and since a file that was touched
// no longer looks as either of them says, both may be believed.
//
// There is no fsync, as nowhere in the embedded engine: kill -9 loses nothing because the kernel
// keeps what was written, and loss of power makes the engine discard its state, manifests included,
// after which content is compared.
//
// Exports to one destination take turns (a flock in the state directory). Two engines with two state
// directories don't know of each other; files are still whole then.
//
// # Overlay layers
//
// A layer may be the upper directory of an overlay, with whiteouts and opaque directories. They delete
// what the layers below it in its own chain show, as in BuildKit's merges: a layer that was
// made on another base doesn't hide files of a sibling that it never saw. What a directory alone
// doesn't tell (redirects, metadata-only copies, differences that BuildKit computes) is
// ErrNotSeparable, and the exporter then mounts the whole result and exports that as one layer.
package export
