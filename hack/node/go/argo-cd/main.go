// What Argo CD leaves out of its comparison, and of what it applies, for `managedFieldsManagers`: an object as it is in
// the cluster and as it is in git, and the names of managers, on standard input; both without their fields on the output.
package main

import (
	"encoding/json"
	"log"
	"os"

	"github.com/argoproj/argo-cd/v3/util/argo/managedfields"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/structured-merge-diff/v4/typed"
)

type comparison struct {
	Live     map[string]any `json:"live"`
	Target   map[string]any `json:"target"`
	Managers []string       `json:"managers,omitempty"`
}

func main() {
	var given comparison
	if err := json.NewDecoder(os.Stdin).Decode(&given); err != nil {
		log.Fatal(err)
	}
	live, target := &unstructured.Unstructured{Object: given.Live}, &unstructured.Unstructured{Object: given.Target}
	// as where the cluster's schema is unknown: a list is compared as a whole, as HTTPRoute's own schema says of rules
	live, target, err := managedfields.Normalize(live, target, given.Managers, &typed.DeducedParseableType)
	if err != nil {
		log.Fatal(err)
	}
	if err := json.NewEncoder(os.Stdout).Encode(comparison{Live: live.Object, Target: target.Object}); err != nil {
		log.Fatal(err)
	}
}
