"""What sampling would bring back of a training set: table, figure and page."""
