"""DNS: pure answers from zones; the cluster's own server and the company's external one."""
