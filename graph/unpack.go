package graph

import (
	"encoding/json"

	"github.com/mergefest/mergefest/graph/action"
)

// unpackDoc is where a node of UnpackRun's finds the description of what it unpacks.
const unpackDoc = "/mergefest-unpack.json"

// UnpackRun makes a run that does to files of its container what a fetch does to downloads: the URLs
// of doc are "file:///path". subject is what it unpacks, for messages. Mounts and outputs are the
// caller's to add.
func UnpackRun(subject string, doc action.Fetch) (*Run, error) {
	text, err := json.Marshal(doc)
	if err != nil {
		return nil, err
	}
	return &Run{Run: action.Run{
		Files: []action.File{{Path: unpackDoc, Text: string(text)}},
		Tasks: []action.Task{{
			Name:     "unpack " + subject,
			Commands: []action.Command{{Args: []string{"@unpack", unpackDoc}}},
		}},
	}}, nil
}
