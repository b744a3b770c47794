// Stands in for upstream's, which does not compile with Kubernetes' library versions of today (see README.md).
module sigs.k8s.io/kubectl-validate

go 1.23
