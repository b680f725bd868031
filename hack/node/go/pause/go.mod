module pointsman/pause

go 1.26.0
