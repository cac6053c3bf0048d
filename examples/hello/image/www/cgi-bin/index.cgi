#!/bin/sh
# busybox httpd runs this for /.
printf 'Content-Type: text/plain\r\n\r\n'
printf '%s\n' "$(cat /etc/hello/greeting)"
printf 'answered by pod %s (%s) on node %s, as user %s\n' "$POD_NAME" "$POD_IP" "$NODE_NAME" "$(id -u)"
